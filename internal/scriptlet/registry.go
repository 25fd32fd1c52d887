package scriptlet

import "maps"

// Commands are the programs whose work is done natively, by base name.
func Commands() map[string]Command {
	all := map[string]Command{}
	for _, table := range []map[string]Command{
		fileCommands(), userCommands(), noopCommands(), ldconfigCommands(), alternativesCommands(), tmpfilesCommands(),
		trustCommands(), systemctlCommands(), secretCommands(), smallCommands(),
	} {
		maps.Copy(all, table)
	}
	return all
}

// smallCommands are programs that are in a file of their own and alone of their kind.
func smallCommands() map[string]Command {
	return map[string]Command{
		"authselect":              tool("force,f b backup= nobackup quiet,q raw,r upgrade trace debug warn", runAuthselect),
		"chkconfig":               tool("add del list override level= no-redirect type=", chkconfig),
		"setfacl":                 tool("modify,m= x,remove= b,remove-all k,remove-default n,no-mask R,recursive P,physical L,logical d,default M= X= set= set-file= restore= mask", setACL),
		"update-desktop-database": tool("quiet,q verbose,v", updateDesktopDatabase),
	}
}

// isShell tells the names of the shells that the interpreter stands in for.
func isShell(name string) bool { return name == "sh" || name == "bash" || name == "dash" }
