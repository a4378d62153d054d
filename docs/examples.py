"""An extension of Griffe: our docstrings say `Example:`, its section of code is `Examples:`."""

import re

from griffe import Extension


class Examples(Extension):
    """Reads `Example:` as the section that it is, so that `>>>` is code and no quotation."""

    def on_object(self, *, obj, **_):
        if obj.docstring and not obj.is_alias:
            text = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE
            )
            obj.docstring.value = text
