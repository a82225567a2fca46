"""The executor that runs tasks in processes on this machine."""
