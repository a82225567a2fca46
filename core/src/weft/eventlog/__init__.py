"""What happened in a run, in one file: written while it runs, read then and afterwards.

format   ── columns        bytes and events; pure
writer                     a listener of the monitoring, which adds chunks to the file
reader                     a whole file, a file that grows, several files
story                      what the events come to; pure
figures                    what is shown of it: counts, spreads, curves; pure
runs                       the runs of a folder, by their logs
"""
