"""Has `sam local` build an image for each set of layers once, and not for each request.

sam builds the image of a template's own layers again whenever it starts a container. It does not do that for published
layers, which it takes from its cache. So the built layers go into the cache, under numbers that follow from their
contents, and the template refers to them as published layers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

# No such account exists. A layer that is missing in the cache is an error, because nothing can be downloaded from it.
_ARN = "arn:aws:lambda:us-east-1:000000000000:layer:{name}:{version}"


def cache_layers(template: Path, cache: Path, image: str) -> None:
    """Put the built layers beside `template` into sam's layer cache, and make the template refer to them there.

    `image` is the id of the image that layers are added to, because another one needs new images, too.
    """
    cache.mkdir(exist_ok=True)
    text = template.read_text()
    for layer in sorted(template.parent.glob("*Layer")):
        arn = _ARN.format(name=layer.name, version=int(_digest(layer, image)[:12], 16))
        # sam names the folders of its cache in this way.
        _, name, version = arn.rsplit(":", 2)
        cached = cache / f"{name}-{version}-{hashlib.sha256(arn.encode()).hexdigest()[:10]}"
        if not cached.is_symlink():
            cached.symlink_to(layer, target_is_directory=True)
        text = text.replace(f"- Ref: {layer.name}\n", f"- {arn}\n")
    template.write_text(text)


def _digest(folder: Path, image: str) -> str:
    digest = hashlib.sha256(image.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(folder)}\0{path.stat().st_mode}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
