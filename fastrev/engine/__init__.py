"""Which particles run where: specification, shards, threads.

Never imports h5py.  Only here is it known that a run may go from T to 0.
"""
