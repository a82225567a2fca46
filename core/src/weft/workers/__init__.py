"""Worker processes on this machine: started, given calls, watched, replaced, ended."""
