package config

import "testing"

func TestKeyPattern(t *testing.T) {
	for text, want := range map[string]struct {
		db      int
		pattern string
	}{
		"user:*": {0, "user:*"}, "db3=session:*": {3, "session:*"}, "db0=a=b": {0, "a=b"}, "a=b": {0, "a=b"}, "db=x": {0, "db=x"},
		"dbx=y": {0, "dbx=y"}, "3=x": {0, "3=x"}, "db9999999999=x": {0, "db9999999999=x"}, "db12=": {12, ""},
	} {
		db, pattern := KeyPattern(text)
		if db != want.db || pattern != want.pattern {
			t.Errorf("%q is %q in database %d, want %+v", text, pattern, db, want)
		}
		if refused := keyFault(text) != ""; refused != (want.pattern == "") {
			t.Errorf("%q refused: %v", text, refused)
		}
	}
}
