package scriptlet

// miscCommands are small programs of systemd that write a file when packages are installed.
func miscCommands() map[string]Command {
	return map[string]Command{
		"systemd-machine-id-setup": tool("", machineIDSetup),
		"journalctl":               tool("update-catalog", updateCatalog),
		"systemd-hwdb":             tool("", updateHwdb),
	}
}

// machineIDSetup leaves the id of the machine to whoever boots the image: an empty file says that there is none yet
// (machine-id(5)). The real program writes a random one.
func machineIDSetup(r *toolRun) error {
	if len(r.args) > 0 {
		return r.unsupported("it takes no arguments here")
	}
	if _, err := r.FS.Lstat("/", "/etc/machine-id"); err == nil {
		return nil
	}
	if err := r.FS.WriteFile("/", "/etc/machine-id", nil, 0o444); err != nil {
		return r.die(1, "Failed to create machine ID: %s", errorText(err))
	}
	return nil
}

// updateCatalog leaves the catalog of messages alone: its database only explains messages to who reads a journal.
func updateCatalog(r *toolRun) error {
	if !r.has("update-catalog") || len(r.args) > 0 {
		return r.unsupported("only --update-catalog is known here")
	}
	return nil
}

// updateHwdb leaves the database of hardware alone, which an image has no use for.
func updateHwdb(r *toolRun) error {
	if len(r.args) != 1 || r.args[0] != "update" {
		return r.unsupported("only update is known here")
	}
	return nil
}
