"""The probes of the doctor, a file for each idea, in the order in which they look.

What costs least and explains most comes first: data, labels, loss, outputs, the network's structure, its optimizer, and
at last what takes steps of its own.
"""

from verax.doctor.probes import (
    _alignment,
    _cancelled_bias,
    _capacity,
    _clipping,
    _copies,
    _custom_gradient,
    _decay,
    _dropout,
    _dropout_order,
    _epsilon,
    _extreme_values,
    _finite,
    _freeze,
    _host_calls,
    _imbalance,
    _initial_loss,
    _inputs,
    _integers,
    _keys,
    _label_noise,
    _labels,
    _layout,
    _leakage,
    _linear,
    _loss_geometry,
    _loss_kind,
    _loss_numbers,
    _loss_shape,
    _loss_terms,
    _mode,
    _momentum,
    _near_copies,
    _numbers,
    _order,
    _output_range,
    _output_softmax,
    _padding,
    _parameters,
    _precision,
    _purity,
    _recompilation,
    _record_checkpoint,
    _record_export,
    _reshape,
    _rows,
    _run_answers,
    _run_fit,
    _run_modes,
    _run_numbers,
    _scales,
    _schedule,
    _sharing,
    _shift,
    _signal_probe,
    _size,
    _state_reset,
    _statistics,
    _step_size,
    _symmetry,
    _target_scale,
    _temperature,
    _unequal_batches,
    _update,
)

_DATA = (_finite, _labels, _integers, _layout, _extreme_values, _scales, _target_scale, _imbalance)
_BATCHES = (_order, _recompilation)
_SPLITS = (_copies, _near_copies, _shift, _leakage, _alignment, _label_noise)
_LOSS = (_loss_shape, _loss_geometry, _loss_kind, _loss_numbers, _loss_terms, _padding, _unequal_batches, _initial_loss)
_OUTPUTS = (_output_softmax, _output_range, _temperature)
_LAYERS = (_dropout, _dropout_order, _statistics, _cancelled_bias)
_STRUCTURE = (_rows, _reshape, _mode, _inputs, _parameters, _linear, _symmetry, _sharing, _keys, *_LAYERS)
_PROGRAM = (_size, _purity, _host_calls)
_NUMBERS = (_numbers, _custom_gradient, _precision)
_OPTIMIZER = (_update, _state_reset, _freeze, _schedule, _clipping, _decay, _epsilon, _momentum, _step_size)
_SIGNAL = (_signal_probe, _capacity)

CHECKS = tuple(
    probe
    for group in (_DATA, _BATCHES, _SPLITS, _LOSS, _OUTPUTS, _STRUCTURE, _PROGRAM, _NUMBERS, _OPTIMIZER, _SIGNAL)
    for each in group
    for probe in each.PROBES
)
RUNS = tuple(probe for each in (_run_numbers, _run_modes, _run_fit, _run_answers) for probe in each.PROBES)
RECORDS = tuple(probe for each in (_record_checkpoint, _record_export) for probe in each.PROBES)

__all__ = ["CHECKS", "RECORDS", "RUNS"]
