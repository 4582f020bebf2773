"""VX208: NumPy needs numbers where JAX has a tracer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._imports import added_import
from verax.lint._module import Module
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._taint import taint
from verax.lint._taint_levels import SEQUENCE
from verax.lint._taint_names import STATIC_NUMPY
from verax.lint._taint_syntax import arguments_of
from verax.lint._traced import transforms_around


def words(text: str) -> frozenset[str]:
    """Returns the words of a text."""
    return frozenset(text.split())


# Those that call the method of the same name of their first argument: `np.sum(x)` is `x.sum()`.
METHODS = words("""
    all amax amin any argmax argmin argsort around cumprod cumsum imag max mean min prod real repeat reshape round split
    squeeze std sum transpose var array_split hsplit vsplit swapaxes
""")
# Those that answer for a tracer too, or take no array.
QUIET = STATIC_NUMPY | {
    "iterable", "common_type", "diag_indices_from", "tril_indices_from", "triu_indices_from", "isdtype", "unstack",
    "array_equal", "array_equiv", "rollaxis", "flip", "diff", "isreal", "str_", "errstate", "may_share_memory",
    "shares_memory", "ndindex", "random", "testing", "typing", "lib", "seterr", "typename", "mintypecode",
}  # fmt: skip
# Of both libraries, with the same meaning.
BOTH = words("""
    abs absolute acos acosh add all allclose amax amin angle any append arccos arccosh arcsin arcsinh arctan arctan2
    arctanh argmax argmin argpartition argsort argwhere around array asarray asin asinh atan atan2 atanh atleast_1d
    atleast_2d atleast_3d average bincount bitwise_and bitwise_or bitwise_xor broadcast_arrays broadcast_to cbrt
    ceil clip column_stack concatenate conj conjugate convolve copysign corrcoef correlate cos cosh count_nonzero
    cov cross cumprod cumsum deg2rad degrees diag diagflat diagonal diff digitize divide dot dstack ediff1d einsum
    empty_like equal exp exp2 expand_dims expm1 fabs flip fliplr flipud float16 float32 float_power floor
    floor_divide fmax fmin fmod full full_like gradient greater greater_equal heaviside histogram hstack hypot i0
    imag inner int16 int32 int8 interp invert isclose iscomplex isfinite isin isinf isnan isneginf isposinf isreal
    kron ldexp less less_equal linspace log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or
    logical_xor matmul max maximum mean median meshgrid min minimum mod moveaxis multiply nan_to_num nanargmax
    nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum
    nanvar negative not_equal ones_like outer pad percentile polyval positive power prod ptp quantile rad2deg
    radians ravel real reciprocal remainder repeat reshape rint roll rot90 round searchsorted select sign signbit
    sin sinc sinh sort split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan tanh
    tensordot tile trace transpose trapezoid tril triu true_divide trunc uint8 uint32 unwrap vander var vdot vsplit
    vstack where zeros_like linalg.norm linalg.inv linalg.det linalg.solve linalg.svd linalg.eigh linalg.cholesky
    linalg.qr linalg.pinv linalg.slogdet linalg.lstsq linalg.matrix_power linalg.eigvalsh fft.fft fft.ifft fft.rfft
    fft.irfft fft.fft2 fft.ifft2 fft.fftshift fft.ifftshift fft.fftn fft.ifftn
""")


@rule("VX208", "numpy-on-traced-value", "error")
def numpy_on_traced_value(module: Module) -> Iterator[Found]:
    """A NumPy function is given a traced value.

    NumPy asks the tracer for its numbers, which raises TracerArrayConversionError, under `jit`, `vmap` and `scan` and
    under `grad` for the arguments it differentiates.

    Bad:

        @jax.jit
        def norm(x):
            return x / np.sqrt((x**2).sum())

    Good:

        @jax.jit
        def norm(x):
            return x / jnp.sqrt((x**2).sum())

    NumPy on shapes, constants and dtypes is fine. Functions that only call the array's own method (`np.sum(x)` is
    `x.sum()`) happen to work and are a warning. The fix, safe, takes the function of the same name from `jax.numpy`.
    Not seen: what a function of another file returns.
    """
    known = taint(module)
    if not known.staged and not known.eager:
        return
    for node in module.nodes(ast.Call):
        name = module.dotted(node.func)
        if name is None or not name.startswith("numpy."):
            continue
        short = name.removeprefix("numpy.")
        if short.partition(".")[0] in QUIET or short.startswith("dtypes."):
            continue
        given = [each for each in arguments_of(node) if _is_traced(module, each)]
        if not given:
            continue
        is_method = short in METHODS and bool(node.args) and given[0] is node.args[0] and len(given) == 1
        is_method = is_method and known.anywhere(given[0]) > SEQUENCE
        text = " ".join(module.source(given[0]).split())
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        how = next((each.name.rpartition(".")[2] for _, each in transforms_around(module, node)), "a transformation")
        source = module.source(node.func)
        advice = f"Use jax.numpy.{short}." if short in BOTH else "Use jax.numpy."
        if is_method:
            message = f"{source} works on `{shown}`, which {how} traces, only by calling its method. {advice}"
            yield Found(node, message, _fix(module, node, short), "warning")
        else:
            message = f"{source} needs the numbers of `{shown}`, which {how} traces, and raises. {advice}"
            yield Found(node, message, _fix(module, node, short))


def _is_traced(module: Module, node: ast.expr) -> bool:
    known = taint(module)
    if known.anywhere(node) >= SEQUENCE:
        return True
    return isinstance(node, ast.Tuple | ast.List) and any(known.anywhere(each) >= SEQUENCE for each in node.elts)


def _fix(module: Module, node: ast.Call, short: str) -> Fix | None:
    if short not in BOTH or any(each.arg in ("out", "order", "subok", "casting") for each in node.keywords):
        return None
    name, edits = added_import(module, "jax.numpy")
    new = f"{name}.{short}"
    return Fix(f"Replace by {new}", (*edits, module.replaced(node.func, new)), safe=True)
