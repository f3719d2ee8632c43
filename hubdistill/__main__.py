"""`python -m hubdistill`, and so `accelerate launch -m hubdistill run recipe.yaml`."""

from hubdistill.cli import main

if __name__ == "__main__":
    main()
