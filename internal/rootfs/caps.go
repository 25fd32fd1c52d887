package rootfs

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// capabilityNames are Linux's capabilities by number (include/uapi/linux/capability.h).
var capabilityNames = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
	"linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
	"sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
	"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
	"checkpoint_restore",
}

// ParseCaps turns capabilities as text (cap_from_text(3): "cap_net_raw,cap_net_admin=ep") into the value of the
// security.capability attribute, revision 2 of struct vfs_cap_data. Empty text, or text that grants nothing, is nil.
func ParseCaps(text string) ([]byte, error) {
	var effective, permitted, inheritable uint64
	for clause := range strings.FieldsSeq(text) {
		ops := strings.IndexAny(clause, "=+-")
		if ops < 0 {
			return nil, fmt.Errorf("capabilities %q: %q has no =, + or -", text, clause)
		}
		mask, err := capabilityMask(clause[:ops])
		if err != nil {
			return nil, fmt.Errorf("capabilities %q: %w", text, err)
		}
		var op byte
		for _, c := range []byte(clause[ops:]) {
			set := mask
			switch c {
			case '=':
				op = '+'
				effective, permitted, inheritable = effective&^mask, permitted&^mask, inheritable&^mask
				continue
			case '+', '-':
				op = c
				continue
			case 'e', 'i', 'p':
			default:
				return nil, fmt.Errorf("capabilities %q: unknown flag %q", text, c)
			}
			target := map[byte]*uint64{'e': &effective, 'i': &inheritable, 'p': &permitted}[c]
			if op == '+' {
				*target |= set
			} else {
				*target &^= set
			}
		}
	}
	if effective|permitted|inheritable == 0 {
		return nil, nil
	}
	const revision2, flagEffective = 0x02000000, 1
	magic := uint32(revision2)
	if effective != 0 {
		magic |= flagEffective
	}
	b := binary.LittleEndian.AppendUint32(nil, magic)
	for shift := 0; shift < 64; shift += 32 {
		b = binary.LittleEndian.AppendUint32(b, uint32(permitted>>shift))
		b = binary.LittleEndian.AppendUint32(b, uint32(inheritable>>shift))
	}
	return b, nil
}

func capabilityMask(list string) (uint64, error) {
	if list == "" || list == "all" {
		return 1<<len(capabilityNames) - 1, nil
	}
	var mask uint64
next:
	for name := range strings.SplitSeq(strings.ToLower(list), ",") {
		for i, known := range capabilityNames {
			if name == "cap_"+known {
				mask |= 1 << i
				continue next
			}
		}
		n, err := strconv.Atoi(name)
		if err != nil || n < 0 || n > 63 {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		mask |= 1 << n
	}
	return mask, nil
}

// CapNames are the permitted and inheritable capabilities of a security.capability attribute, revision 2 or 3, as
// capabilities(7) names them, by number; those it does not know are numbers. What is no such attribute has none.
func CapNames(attribute []byte) []string {
	const words = 4 + 16 // magic, then permitted and inheritable for either half
	if len(attribute) < words {
		return nil
	}
	var names []string
	for i := range 64 {
		at := 4 + i/32*8
		set := binary.LittleEndian.Uint32(attribute[at:]) | binary.LittleEndian.Uint32(attribute[at+4:])
		switch {
		case set>>(i%32)&1 == 0:
		case i < len(capabilityNames):
			names = append(names, "cap_"+capabilityNames[i])
		default:
			names = append(names, strconv.Itoa(i))
		}
	}
	return names
}
