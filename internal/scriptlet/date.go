package scriptlet

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// date says the one moment at which everything happens, in UTC.
func date(r *toolRun) error {
	now := time.Unix(r.FS.Now(), 0).UTC()
	format := "+%a %b %e %I:%M:%S %p %Z %Y"
	if lc := r.Env("LC_ALL") + r.Env("LC_TIME") + r.Env("LANG"); lc == "" || strings.HasPrefix(lc, "C") || strings.HasPrefix(lc, "POSIX") {
		format = "+%a %b %e %H:%M:%S %Z %Y"
	}
	args := r.args
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		name, value, given := strings.Cut(a, "=")
		next := func() string {
			if !given && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			return value
		}
		switch {
		case a == "-u" || a == "--utc" || a == "--universal":
		case name == "-d" || name == "--date":
			t, err := r.parseDate(next(), now)
			if err != nil {
				return err
			}
			now = t
		case strings.HasPrefix(a, "-d"):
			t, err := r.parseDate(a[2:], now)
			if err != nil {
				return err
			}
			now = t
		case name == "-r" || name == "--reference":
			n, err := r.FS.Stat(r.Dir, next())
			if err != nil {
				return r.die(1, "%s: %s", value, errorText(err))
			}
			now = time.Unix(n.MTime, 0).UTC()
		case a == "-R" || a == "--rfc-email":
			format = "+%a, %d %b %Y %H:%M:%S %z"
		case a == "-I" || a == "--iso-8601" || a == "-Idate":
			format = "+%Y-%m-%d"
		case a == "-Iseconds" || a == "--iso-8601=seconds":
			format = "+%Y-%m-%dT%H:%M:%S%:z"
		case strings.HasPrefix(a, "+"):
			format = a
		default:
			return r.unsupported("%s is not known here", a)
		}
	}
	out, err := formatTime(format[1:], now)
	if err != nil {
		return r.unsupported("%v", err)
	}
	r.printf("%s\n", out)
	return nil
}

// formatTime is strftime(3) in the C locale.
func formatTime(format string, t time.Time) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		flag := byte(0)
		if strings.IndexByte("-_0^#:", format[i]) >= 0 && i+1 < len(format) {
			flag = format[i]
			i++
		}
		if flag == ':' && format[i] != 'z' {
			return "", fmt.Errorf("the format %q is not known here", format)
		}
		number := func(v, width int, fill byte) {
			switch flag {
			case '-':
				width = 1
			case '_':
				fill = ' '
			case '0':
				fill = '0'
			}
			s := strconv.Itoa(v)
			b.WriteString(strings.Repeat(string(rune(fill)), max(0, width-len(s))) + s)
		}
		text := func(layout string) {
			s := t.Format(layout)
			if flag == '^' {
				s = strings.ToUpper(s)
			}
			b.WriteString(s)
		}
		_, week := t.ISOWeek()
		year, _ := t.ISOWeek()
		hour := (t.Hour()+11)%12 + 1
		switch format[i] {
		case '%':
			b.WriteByte('%')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'Y':
			number(t.Year(), 1, '0')
		case 'C':
			number(t.Year()/100, 2, '0')
		case 'y':
			number(t.Year()%100, 2, '0')
		case 'G':
			number(year, 1, '0')
		case 'g':
			number(year%100, 2, '0')
		case 'V':
			number(week, 2, '0')
		case 'U':
			number((t.YearDay()+6-int(t.Weekday()))/7, 2, '0')
		case 'W':
			number((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0')
		case 'm':
			number(int(t.Month()), 2, '0')
		case 'd':
			number(t.Day(), 2, '0')
		case 'e':
			number(t.Day(), 2, ' ')
		case 'H':
			number(t.Hour(), 2, '0')
		case 'k':
			number(t.Hour(), 2, ' ')
		case 'I':
			number(hour, 2, '0')
		case 'l':
			number(hour, 2, ' ')
		case 'M':
			number(t.Minute(), 2, '0')
		case 'S':
			number(t.Second(), 2, '0')
		case 'N':
			b.WriteString("000000000")
		case 'j':
			number(t.YearDay(), 3, '0')
		case 'u':
			number((int(t.Weekday())+6)%7+1, 1, '0')
		case 'w':
			number(int(t.Weekday()), 1, '0')
		case 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case 'a':
			text("Mon")
		case 'A':
			text("Monday")
		case 'b', 'h':
			text("Jan")
		case 'B':
			text("January")
		case 'p':
			text("PM")
		case 'P':
			b.WriteString(strings.ToLower(t.Format("PM")))
		case 'Z':
			b.WriteString("UTC")
		case 'z':
			if b.WriteString("+00"); flag == ':' {
				b.WriteByte(':')
			}
			b.WriteString("00")
		case 'c':
			text("Mon Jan _2 15:04:05 2006")
		case 'D', 'x':
			text("01/02/06")
		case 'F':
			text("2006-01-02")
		case 'T', 'X':
			text("15:04:05")
		case 'R':
			text("15:04")
		case 'r':
			text("03:04:05 PM")
		default:
			return "", fmt.Errorf("the format %q is not known here", format)
		}
	}
	return b.String(), nil
}

// parseDate reads the dates that scripts give date -d and touch -d, in UTC.
func (r *toolRun) parseDate(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	switch s {
	case "now", "":
		if s == "" {
			return today, nil
		}
		return now, nil
	case "today":
		return now, nil
	case "yesterday":
		return now.AddDate(0, 0, -1), nil
	case "tomorrow":
		return now.AddDate(0, 0, 1), nil
	}
	if v, ok := strings.CutPrefix(s, "@"); ok {
		seconds, _, _ := strings.Cut(v, ".")
		if n, err := strconv.ParseInt(seconds, 10, 40); err == nil {
			return time.Unix(n, 0).UTC(), nil
		}
	}
	for _, layout := range []string{
		"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z",
		"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST", "20060102", "20060102 15:04",
		"20060102 15:04:05", "Mon, 02 Jan 2006 15:04:05 -0700", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan 2 15:04:05 MST 2006",
		"2 Jan 2006", "Jan 2 2006", "2006/01/02", "01/02/2006",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			if strings.Contains(layout, "MST") && !strings.Contains(s, "UTC") && !strings.Contains(s, "GMT") {
				break
			}
			return t.UTC(), nil
		}
	}
	return time.Time{}, r.unsupported("the date %q is not known here", s)
}

// parseStamp reads [[CC]YY]MMDDhhmm[.ss], as touch -t has it.
func parseStamp(s string, year int) (time.Time, bool) {
	main, seconds, dotted := strings.Cut(s, ".")
	if !dotted {
		seconds = "00"
	}
	switch len(main) {
	case 8:
		main = fmt.Sprintf("%04d", year) + main
	case 10:
		century := "20"
		if main[:2] >= "69" {
			century = "19"
		}
		main = century + main
	}
	t, err := time.Parse("20060102150405", main+seconds)
	return t, err == nil && len(main) == 12
}
