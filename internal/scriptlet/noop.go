package scriptlet

// noopCommands are programs that do nothing to a root that is not running.
func noopCommands() map[string]Command { return map[string]Command{} }
