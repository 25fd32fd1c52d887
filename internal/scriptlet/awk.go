package scriptlet

func awkCommands() map[string]Command { return map[string]Command{} }
