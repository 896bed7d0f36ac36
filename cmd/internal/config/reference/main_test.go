package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheReferenceIsUpToDate(t *testing.T) {
	want, err := page("..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../../deploy/docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run make gen (-generated +file):\n%s", diff)
	}
}
