"""The command line: one file a group of verbs, each importing what it needs when it runs, so that --help is quick."""
