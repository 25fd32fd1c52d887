package memory

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"
)

// The collector's settings are those of a process, so each case is one of its own.
func TestMain(m *testing.M) {
	switch os.Getenv("SLIM_TEST_MEMORY") {
	case "":
		os.Exit(m.Run())
	case "tune":
		Tune()
		say("at first", goGC())
		runtime.GC()
		for range 1000 {
			if goGC() != firstPercent {
				break
			}
			time.Sleep(time.Millisecond)
		}
		say("then", goGC())
	case "huge":
		HugePages()
		say("afterwards", goGC())
		smaps, _ := os.ReadFile("/proc/self/smaps")
		say("marked", markedHuge(smaps)>>20)
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		say("kept", int(s.HeapAlloc>>20))
	}
}

func say(what string, n int) { os.Stdout.WriteString(what + " " + strconv.Itoa(n) + "\n") }

func goGC() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

// markedHuge is how many bytes are in mappings for which huge pages were asked (proc_pid_smaps(5): VmFlags hg).
func markedHuge(smaps []byte) int {
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^Size: +(\d+) kB$(?s:.*?)^VmFlags:(.*)$`).FindAllSubmatch(smaps, -1) {
		if regexp.MustCompile(`\bhg\b`).Match(m[2]) {
			kB, _ := strconv.Atoi(string(m[1]))
			total += kB << 10
		}
	}
	return total
}

func inProcess(t *testing.T, what string, env ...string) map[string]int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "GOGC=", "SLIM_TEST_MEMORY="+what), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^(.*) (-?\d+)$`).FindAllStringSubmatch(string(out), -1) {
		said[m[1]], _ = strconv.Atoi(m[2])
	}
	return said
}

func TestTune(t *testing.T) {
	if got := inProcess(t, "tune"); got["at first"] != firstPercent || got["then"] != percent {
		t.Errorf("GOGC is %v; want %d, then %d", got, firstPercent, percent)
	}
	if got := inProcess(t, "tune", "GOGC=77"); got["at first"] != 77 || got["then"] != 77 {
		t.Errorf("with GOGC=77 of the environment it is %v", got)
	}
}

func TestHugePages(t *testing.T) {
	got := inProcess(t, "huge", "GOGC=77")
	if got["afterwards"] != 77 {
		t.Errorf("GOGC is %d afterwards; it was 77", got["afterwards"])
	}
	if got["kept"] > 16 {
		t.Errorf("%d MB are kept in use", got["kept"])
	}
	if runtime.GOOS != "linux" {
		return
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("skipped: needs a kernel with transparent huge pages")
	}
	if got["marked"] < 192 {
		t.Errorf("huge pages were asked for %d MB of memory; want 192", got["marked"])
	}
}
