package scriptlet

// tmpfilesCommands are the commands that make what tmpfiles.d describes.
func tmpfilesCommands() map[string]Command { return map[string]Command{} }
