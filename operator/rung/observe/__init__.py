"""What trials say of themselves: parsers (pure) and the bounded scraper (async).

    extract                 which numbers a study wants, what was seen instead
    lines, forms, template  log lines                       prometheus, exposition, quantile   text pages
    logtail                 a growing log, each line once   sdk                                its /observations
    termination             the last word                   history                            all of it, merged and bounded
    http                    one bounded GET                 target                             whom, and what was seen
    probe                   one target                      scraper                            all of them, on time

A trial that lies, hangs or shouts hurts only itself: every parser is linear in its input, gives bounded output, and
raises nothing but BadObservation.
"""
