"""User objects to bytes and back: functions, arguments, results, exceptions.

The only package that pickles and unpickles. Everything above and below it moves `Payload`s without
looking inside.
"""
