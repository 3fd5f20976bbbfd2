"""Parts of the names of package registries, which no file of the project may name (written in pieces for that)."""

HOSTS = ("py" + "pi.", "python" + "hosted.", "ana" + "conda.org", "hugging" + "face.co")
