"""Files that hold many items: tables, Arrow files, tar shards. One file a format, one line in `registry`."""
