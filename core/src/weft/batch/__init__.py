"""The ground under providers for batch schedulers: one behaviour, and a dialect for each scheduler.

``commands``  runs a scheduler's command, within a time, again where that is safe
``files``     what is written into the folder of a job, and what the job leaves there
``script``    the script of a job
``dialect``   what differs from one scheduler to the next: lines to say, and what answers mean
``provider``  what does not differ: a provider over any dialect
``settings``  the options that all such providers have
"""
