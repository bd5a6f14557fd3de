"""Search quality: our samplers and schedulers beside those that a user would pick instead, on the same problems and seeds.

    problems    what is searched: functions with a known optimum, tables of real trainings, and any folder given by --problems
    clock       one study of one method: evaluations one after the other, eight at a time, or learning curves on a virtual clock
    methods     the contestants behind one ask/tell face, each with a version: a row is computed again when that changes
    work        runs what is asked for and not yet in the cache, in the interpreter that has the method's packages
    tables      regret, paired differences, ranks, times: the figures that are published

Everything that runs inside a peer's environment knows numpy and nothing of Rung.
"""
