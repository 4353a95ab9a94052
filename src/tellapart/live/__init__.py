"""The model side of Studio: trained while photos arrive, checked, tried and served; knows no pages and no requests."""
