"""Measurements that compare with a baseline in the same run and print a ratio. They decide nothing."""
