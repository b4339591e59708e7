"""Every type on a wire or in a file. No I/O, no asyncio, no clocks, no logging."""
