"""Three regions as one computer: Hanse's links, and Dask, over long ways on this machine."""
