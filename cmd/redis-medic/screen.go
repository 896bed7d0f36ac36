package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is where people read: text in columns, in colours where it is a terminal that wants them.
type screen struct {
	io.Writer
	colour bool
}

// The colours of what is good, of what needs a look, and of what is broken.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

// colours are of words that the API uses for states. Any other word has none.
var colours = map[string]string{
	"healthy": green, "running": green, "pass": green, "success": green, "recovered": green, "closed": green,
	"degraded": yellow, "warn": yellow, "warning": yellow, "half-open": yellow, "recovering": yellow, "unknown": yellow, "observing": yellow,
	"critical": red, "stopped": red, "failed": red, "fail": red, "error": red, "open": red, "denied": red, "manual": red,
}

// colourful says whether a writer is a terminal that shows colours, see no-color.org.
func colourful(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// paint gives a state its colour.
func (s screen) paint(text string) string {
	if c := colours[text]; s.colour && c != "" {
		return c + text + plain
	}
	return text
}

// grid writes rows in columns. The first row is a headline where head is true.
func (s screen) grid(head bool, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, text := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+2)
			switch {
			case head && n == 0 && s.colour:
				b.WriteString(bold + text + plain + gap)
			default:
				b.WriteString(s.paint(text) + gap)
			}
		}
		fmt.Fprintln(s, strings.TrimRight(b.String(), " "))
	}
}
