"""What a caller gives as embeddings, as a NumPy array, or one line that says what to do instead."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import MatrixError, one_line

ENCODE_FIRST = "encode first, as in Encoder.load().encode(sentences), and pass the vectors"


def as_array(x: Any, *, name: str) -> NDArray[Any]:
    """Embeddings as an array, without a copy where they are one.

    Tensors of PyTorch are recognised by their attributes: nothing of PyTorch is imported.

    Raises
    ------
    MatrixError
        Text, an encoder, sparse or masked or complex numbers, an array of objects, rows of different
        lengths.

    Examples
    --------
    >>> as_array([[1, 2], [3, 4]], name="embeddings").shape
    (2, 2)
    """
    _refuse_by_kind(x, name)
    if _is_tensor(x):
        return _of_tensor(x, name)
    if isinstance(x, list | tuple) and any(map(_is_tensor, x)):
        x = [_of_tensor(row, f"{name}: row {at}") if _is_tensor(row) else row for at, row in enumerate(x)]
    try:
        array = np.asarray(x)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise MatrixError(f"{name}: no array can be made of this: {one_line(error)}") from None
        raise MatrixError(f"{name}: the rows have different lengths") from None
    except (TypeError, RuntimeError) as error:
        raise MatrixError(f"{name}: no array can be made of this: {one_line(error)}") from None
    _refuse_values(array, x, name)
    return array


def _refuse_by_kind(x: Any, name: str) -> None:
    """Refuse what would become another array than it looks like."""
    first = x[0] if isinstance(x, list | tuple) and x else x
    if isinstance(first, str | bytes):
        raise MatrixError(f"{name}: text stands where vectors belong; {ENCODE_FIRST}")
    if callable(getattr(x, "encode", None)):
        raise MatrixError(f"{name}: an encoder stands where vectors belong; {ENCODE_FIRST}")
    if hasattr(x, "nnz") and hasattr(x, "toarray"):
        raise MatrixError(f"{name}: a sparse matrix is not taken; pass its toarray()")
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        row = int(np.argwhere(np.ma.getmaskarray(x))[0][0])
        raise MatrixError(f"{name}: row {row} holds masked values; fill them, or drop the row")


def _refuse_values(array: NDArray[Any], x: Any, name: str) -> None:
    """Refuse an array of anything but numbers; of what, and what to do."""
    kind = array.dtype.kind
    if kind == "O":
        odd = next((value for value in array.flat if not isinstance(value, int | float | np.number)), None)
        if array.ndim == 0:
            raise MatrixError(
                f"{name}: a matrix of shape (sentences, dimension) is needed, not {type(x).__name__}"
            )
        if any(isinstance(value, str | bytes) for value in array.flat):
            kind = "U"
        elif isinstance(odd, np.ndarray | list | tuple):
            raise MatrixError(
                f"{name}: an array of objects that are rows; make a matrix of it with np.stack(list(x))"
            )
        else:
            raise MatrixError(
                f"{name}: an array of objects ({type(odd).__name__} among them); "
                "drop what is no number and pass x.astype(np.float32)"
            )
    if kind in "UST":
        raise MatrixError(f"{name}: text stands where vectors belong; {ENCODE_FIRST}")
    if kind == "c":
        raise MatrixError(f"{name}: real numbers are needed, not {array.dtype}")


def _is_tensor(x: Any) -> bool:
    return not isinstance(x, np.ndarray) and all(
        hasattr(x, attribute) for attribute in ("detach", "cpu", "layout", "is_floating_point")
    )


def _of_tensor(x: Any, name: str) -> NDArray[Any]:
    """A dense tensor of real numbers, detached, on the CPU; types that NumPy lacks as float32."""
    if str(x.layout) != "torch.strided" or getattr(x, "is_nested", False):
        raise MatrixError(f"{name}: a sparse or nested tensor is not taken; pass its to_dense()")
    if getattr(x, "is_quantized", False):
        raise MatrixError(f"{name}: a quantized tensor is not taken; pass its dequantize()")
    if x.is_complex():
        raise MatrixError(f"{name}: real numbers are needed, not {x.dtype}")
    if str(x.device) == "meta":
        raise MatrixError(f"{name}: a tensor on the meta device holds no numbers")
    x = x.detach().cpu()
    if str(x.dtype) not in ("torch.float32", "torch.float64") and x.is_floating_point():
        x = x.float()
    try:
        return np.asarray(x.resolve_neg().numpy())
    except (TypeError, RuntimeError) as error:
        raise MatrixError(f"{name}: no array can be made of this tensor: {one_line(error)}") from None
