"""Reads a multi-order map and the flat maps cut from it with ligo.skymap, healpy and astropy.

    skymaps.py MULTI.fits NESTED.fits RING.fits

Each of the three must see the same numbers. Prints what ligo.skymap says about the map as one
JSON object; fails with an AssertionError otherwise.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import healpy
import numpy as np
from astropy.io import fits
from astropy.table import Table
from ligo.skymap.distance import parameters_to_moments
from ligo.skymap.io import read_sky_map
from ligo.skymap.postprocess import crossmatch

LAYERS = ['PROBDENSITY', 'DISTMU', 'DISTSIGMA', 'DISTNORM']


def same(name, a, b, tolerance=0.0):
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    assert a.shape == b.shape, f'{name}: {a.shape} and {b.shape}'
    finite = np.isfinite(a)
    assert (finite == np.isfinite(b)).all(), f'{name}: not finite at different places'
    assert (a[~finite] == b[~finite]).all(), f'{name}: different infinities'
    scale = np.maximum(np.abs(a[finite]), np.abs(b[finite]))
    worst = np.max(np.abs(a[finite] - b[finite]) - tolerance * scale, initial=0.0)
    assert worst <= 0, f'{name}: {worst} apart'


def check_multi_order(path):
    ours = Table.read(path, format='fits', hdu=1)
    theirs = read_sky_map(path, moc=True)
    same('UNIQ', ours['UNIQ'], theirs['UNIQ'])
    for layer in LAYERS:
        same(layer, ours[layer], theirs[layer])
    # healpy cannot read multi-order maps; their pixels are where it says they are.
    uniq = np.asarray(ours['UNIQ'])
    order = (np.log2(uniq / 4) / 2).astype(int)
    area = healpy.nside2pixarea(2 ** order)
    total = float((ours['PROBDENSITY'] * area).sum())
    assert abs(total - 1) < 1e-9, f'total probability {total}'
    return theirs


def check_flat(path, nest):
    healpys = healpy.read_map(path, field=None, nest=nest)
    with fits.open(path) as file:
        file.verify('exception')
        table, header = file[1].data, file[1].header
        assert healpy.isnsideok(header['NSIDE'], nest=True)
        columns = ['PROB', 'DISTMU', 'DISTSIGMA', 'DISTNORM']
        assert list(table.names) == columns, table.names
        for k, column in enumerate(columns):
            same(f'healpy {column}', table[column], healpys[k])
    layers, _ = read_sky_map(path, nest=nest, distances=True)
    for k, column in enumerate(columns):
        same(f'ligo.skymap {column}', layers[k], healpys[k])
    return healpys


def check_flattening(multi, nested, layers):
    """The reference's own program must cut the same map."""
    nside = healpy.get_nside(layers[0])
    program = Path(sys.executable).parent / 'ligo-skymap-flatten'
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / 'flat.fits'
        command = [str(program), '--nside', str(nside), multi, str(path)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        theirs = Table.read(path, format='fits', hdu=1)
    same('flattened PROB', layers[0], theirs['PROB'], 1e-12)
    # Where the standard deviation is large, many pairs of parameters have the same moments: the
    # moments are what a map says.
    ours = parameters_to_moments(layers[1], layers[2])
    theirs = parameters_to_moments(theirs['DISTMU'], theirs['DISTSIGMA'])
    same('flattened mean', ours[0], theirs[0], 1e-6)
    same('flattened standard deviation', ours[1], theirs[1], 1e-4)


def main():
    multi, nested, ring = sys.argv[1:]
    table = check_multi_order(multi)
    layers = check_flat(nested, nest=True)
    for a, b in zip(check_flat(ring, nest=False), layers):
        same('ring', healpy.reorder(a, r2n=True), b)
    check_flattening(multi, nested, layers)
    found = crossmatch(table, contours=(0.5, 0.9))
    meta = table.meta
    print(json.dumps({
        'area50_deg2': found.contour_areas[0],
        'area90_deg2': found.contour_areas[1],
        'distance_mean_mpc': meta['distmean'],
        'distance_std_mpc': meta['diststd'],
        'log_bci': meta['log_bci'],
        'log_bsn': meta['log_bsn'],
        'instruments': sorted(meta['instruments']),
        'object': str(meta['objid']),
        'creator': meta['creator'],
    }))


if __name__ == '__main__':
    main()
