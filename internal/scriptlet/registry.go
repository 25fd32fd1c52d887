package scriptlet

import "maps"

// Commands are the programs whose work is done natively, by base name.
func Commands() map[string]Command {
	all := map[string]Command{}
	for _, table := range []map[string]Command{
		fileCommands(), userCommands(), noopCommands(), ldconfigCommands(), alternativesCommands(), tmpfilesCommands(),
		trustCommands(),
	} {
		maps.Copy(all, table)
	}
	return all
}

// isShell tells the names of the shells that the interpreter stands in for.
func isShell(name string) bool { return name == "sh" || name == "bash" || name == "dash" }
