"""A trained network as one file of C99 that needs no library but the compiler's math functions.

::

    write_c(net, "digits.c")            cc -std=c99 -O2 -c digits.c

    void digits_predict(const float *input, float *output);              /* Network.predict of floats  */
    void digits_predict_pixels(const uint8_t *pixels, float *output);    /* Network.predict of bytes   */

Weights are ``static const`` arrays, every layer is a function under its formula, and no memory is allocated. See
``docs/deploy.md``.
"""

from pellucid.interop.c_source.page import LIMIT, write_c

__all__ = ["LIMIT", "write_c"]
