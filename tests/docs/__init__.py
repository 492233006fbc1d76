"""The README and the pages of docs/ say what is there: links, commands, options, exit codes, examples."""
