def draw(path):
    pass
