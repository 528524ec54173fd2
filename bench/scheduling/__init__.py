"""How well work is spread: the real home and agents in virtual time, beside the classic schemes."""
