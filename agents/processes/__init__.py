"""What every process of the product is made of, and the processes of the layers below."""
