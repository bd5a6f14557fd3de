"""Study and Trial: the user's files as frozen models, the CRDs that are generated from them, and the words both use.

    errors        one class per reaction
    names         names and labels of objects
    base, scalars the model class, its rules (CEL and Python side by side), the kinds of strings and numbers
    objectives, parameters, sampler, scheduler, limits, warm_start, metrics, template   parts of a Study's spec
    spec, status  the two halves of a Study
    study         the Study, and `parse_study`, the one door for documents
    trial         the Trial
    frozen        what cannot change once trials exist
    implemented   what this version does not do yet
    conditions    metav1 conditions
    facts         what the pure core eats
    schema, crds  structural OpenAPI schemas and the two CRDs
    reference     the page of all fields

Pure: no clock, no network, no randomness, no log.
"""
