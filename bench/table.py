def full(path):
    return ""


def quick(path):
    return ""
