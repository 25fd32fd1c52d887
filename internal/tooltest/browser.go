package tooltest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Browser is a headless Chromium with one page, spoken to by the DevTools protocol on two pipes. It is for one goroutine.
type Browser struct {
	t       testing.TB
	to      *os.File
	from    *bufio.Reader
	calls   int
	session string
	events  []BrowserEvent
}

// BrowserEvent is what the browser tells unasked.
type BrowserEvent struct {
	Method string
	Params json.RawMessage
}

type browserMessage struct {
	ID     int
	Result json.RawMessage
	Error  *struct{ Message string }
	BrowserEvent
}

// NewBrowser starts one that ends with t.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	Need(t, "chromium")
	fromUs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, fromIt, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{fromUs, fromIt} // which are its descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fromUs.Close()
	fromIt.Close()
	b := &Browser{t: t, to: to, from: bufio.NewReader(from)}
	t.Cleanup(func() {
		if !t.Failed() {
			b.session = ""
			b.Call("Browser.close", nil, nil)
		} else {
			_ = cmd.Process.Kill()
		}
		to.Close()
		_ = cmd.Wait()
		from.Close()
	})
	var target struct{ TargetID string }
	b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.Call(domain+".enable", nil, nil)
	}
	return b
}

// Call calls a method of the protocol and decodes its answer into result, unless that is nil. It has to succeed.
func (b *Browser) Call(method string, params, result any) {
	b.t.Helper()
	b.calls++
	m := map[string]any{"id": b.calls, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		answer := b.read(method)
		if answer.ID != b.calls {
			continue
		}
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// read reads one message, and keeps it when it is an event.
func (b *Browser) read(waiting string) browserMessage {
	b.t.Helper()
	text, err := b.from.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("%s: %v", waiting, err)
	}
	var m browserMessage
	if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
		b.t.Fatalf("%s: %v", waiting, err)
	}
	if m.Method != "" {
		b.events = append(b.events, m.BrowserEvent)
	}
	return m
}

// Open opens a page and waits until it is loaded. What Events had is forgotten.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.events = nil
	b.Call("Page.navigate", map[string]any{"url": url}, nil)
	for !b.happened("Page.loadEventFired") {
		b.read(url)
	}
}

func (b *Browser) happened(method string) bool { return len(b.Events(method)) > 0 }

// Events are those of certain methods since the page was opened.
func (b *Browser) Events(methods ...string) []BrowserEvent {
	var out []BrowserEvent
	for _, e := range b.events {
		for _, m := range methods {
			if e.Method == m {
				out = append(out, e)
			}
		}
	}
	return out
}

// Eval is the value of an expression in the page, after a promise that it may be, decoded into result unless that is nil.
func (b *Browser) Eval(expression string, result any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	if result != nil {
		if err := json.Unmarshal(answer.Result.Value, result); err != nil {
			b.t.Fatalf("%s is %s: %v", expression, answer.Result.Value, err)
		}
	}
}

// Press presses keys, each by its name in the DOM.
func (b *Browser) Press(keys ...string) {
	b.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
	for _, key := range keys {
		params := map[string]any{"type": "keyDown", "windowsVirtualKeyCode": codes[key], "key": key, "code": key}
		if key == "Enter" {
			params["text"] = "\r"
		}
		if name, ok := strings.CutPrefix(key, "Shift+"); ok {
			params["key"], params["code"], params["windowsVirtualKeyCode"], params["modifiers"] = name, name, codes[name], 8
		}
		b.Call("Input.dispatchKeyEvent", params, nil)
		params["type"] = "keyUp"
		delete(params, "text")
		b.Call("Input.dispatchKeyEvent", params, nil)
	}
}
