"""The contestants, by name: the module in this folder, and the environment it runs in.

Only names, so that reading this costs nothing.
"""

ENVIRONMENT_OF = {
    "hanse": "light",
    "alone": "light",
    "pool": "light",
    "executor": "light",
    "joblib": "light",
    "ray": "ray",
    "dask": "dask",
    "spark": "spark",
}
QUICK = ("hanse", "alone", "pool", "executor", "joblib")
