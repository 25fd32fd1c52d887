package scriptlet

// userCommands are the programs that read and change the user database.
func userCommands() map[string]Command { return map[string]Command{} }
