"""How much does it matter where things are?"""
