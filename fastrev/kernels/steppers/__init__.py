"""Steps of dx = b dt + g dw from t to t + h, one file each.

root is sqrt|h|, times eta in a reverse run; z is a standard normal.
"""
