// Package web owns the control panel: its Vue source and the built files that travel inside the binary. It refuses to serve
// them: routes, headers and sessions belong to the control API.
package web

import (
	"embed"
	"io/fs"
)

// The "all:" prefix takes .gitkeep in, so that the package compiles in a tree where the panel was never built.
//
//go:embed all:dist
var dist embed.FS

//go:embed unbuilt
var unbuilt embed.FS

// FS returns the files of the panel with index.html at the root; everything under assets/ has a hash in its name and never
// changes. In a binary that was compiled without a built panel it holds one page that says so, and how to build it.
func FS() fs.FS { return choose(dist, unbuilt) }

// Built reports whether the panel is part of this binary.
func Built() bool { return has(dist, "dist/index.html") }

func choose(built, fallback fs.FS) fs.FS {
	if has(built, "dist/index.html") {
		return sub(built, "dist")
	}
	return sub(fallback, "unbuilt")
}

func has(fsys fs.FS, name string) bool {
	_, err := fs.Stat(fsys, name)
	return err == nil
}

// sub panics only when dir is not a valid path, which would be a mistake in this file.
func sub(fsys fs.FS, dir string) fs.FS {
	s, err := fs.Sub(fsys, dir)
	if err != nil {
		panic(err)
	}
	return s
}
