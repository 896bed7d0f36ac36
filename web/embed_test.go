package web

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTheUnbuiltPageIsServedWhenThereIsNoPanel(t *testing.T) {
	empty := fstest.MapFS{"dist/.gitkeep": {}}
	page, err := fs.ReadFile(choose(empty, unbuilt), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not part of this build", "make build"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestTheBuiltPanelIsServedWhenThereIsOne(t *testing.T) {
	built := fstest.MapFS{"dist/index.html": {Data: []byte("the panel")}, "dist/assets/a.js": {Data: []byte("1")}}
	fsys := choose(built, unbuilt)
	page, err := fs.ReadFile(fsys, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != "the panel" {
		t.Errorf("got %q", page)
	}
	if _, err := fs.Stat(fsys, "assets/a.js"); err != nil {
		t.Error(err)
	}
}

func TestThisBinaryHasAPageEitherWay(t *testing.T) {
	page, err := fs.ReadFile(FS(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	if Built() == strings.Contains(string(page), "not part of this build") {
		t.Errorf("Built() is %v, but the page says otherwise", Built())
	}
}
