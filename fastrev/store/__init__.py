"""What is kept: the H5MD file of a run, its writer and its reader.

Never imports the engine: a file is data, and opening one runs nothing from it.
"""
