"""The suite's word lists. Together with the templates they make a vocabulary of a few hundred words."""

PEOPLE = ("mia", "tom", "ana", "ben", "eva", "leo", "zoe", "max", "ida", "sam", "amy", "kai")
JOBS = ("nurse", "baker", "clerk", "pilot", "farmer", "tailor", "judge", "miner", "singer", "guard")
GUESTS = ("abe", "bea", "cal", "dot", "gus", "ivy", "ned", "una")
STAYS = ("waits", "sleeps", "reads", "works", "sings", "rests")
PLACES_OF = {
    "indoors": ("the kitchen", "the attic", "the hall"),
    "outdoors": ("the garden", "the orchard", "the canyon"),
    "north": ("norway", "iceland", "alaska"),
    "south": ("egypt", "peru", "kenya"),
}
OWNERS = ("king", "queen", "duke", "monk", "maid", "cook")
HOLDS = ("owns", "keeps", "hides", "guards")
THINGS_OF = {
    "heavy": ("anvil", "piano", "tank"),
    "light": ("feather", "straw", "leaf"),
    "hot": ("torch", "stove", "lava"),
    "cold": ("ice", "frost", "slush"),
}
FRIENDS = ("hal", "joe")
GIVES = ("gave", "sent", "handed", "lent", "sold", "threw", "passed", "mailed")
GETS = ("got", "took", "had", "received")
GIFTS = (
    *("book", "ring", "coat", "letter", "knife", "map", "cake", "hat", "flute", "pen", "comb", "drink", "scarf"),
    *("stamp", "coin", "toy", "bell", "vase", "rose", "key"),
)
PREY = ("rex", "fifi")
HUNTS = (
    "chased",
    "followed",
    "watched",
    "scared",
    "heard",
    "pushed",
    "tricked",
    "found",
    "warned",
    "met",
    "bit",
    "saw",
)
PLACES = (
    "field",
    "forest",
    "yard",
    "barn",
    "valley",
    "desert",
    "swamp",
    "cave",
    "meadow",
    "pond",
    "sand",
    "mud",
    "woods",
    "hills",
    "snow",
    "rain",
)
TIMES = ("today", "once", "twice", "often", "again", "early", "late")
CITIES = ("paris", "cairo", "lima", "oslo", "delhi", "tokyo", "rome", "quito", "dublin", "athens")
VEHICLES = ("train", "bus", "boat", "plane", "bike", "truck")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
GOODS = ("apples", "candles", "eggs", "pears", "shirts", "spoons", "bottles", "carpets", "onions", "plates")
SHOPS = ("market", "store", "stall", "depot", "mill", "bazaar", "kiosk", "shop")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")

FILM_PARTS = ("plot", "cast", "music", "ending", "script", "hero", "dialogue", "camera")
DISHES = ("soup", "curry", "salad", "stew", "pasta", "steak", "pie", "rice")
DISH_PARTS = ("sauce", "crust", "service", "spice", "broth", "bread")
PRAISE = ("great", "lovely", "superb", "brilliant", "charming", "perfect", "delightful", "splendid")
BLAME = ("awful", "boring", "dreadful", "terrible", "weak", "horrible", "dismal", "lousy")

CAFES = ("alba", "bravo", "corso", "delta", "fiora", "gusto")
FOODS = ("thai", "french", "indian", "greek", "mexican", "italian")
AREAS = ("riverside", "centre", "harbour", "suburb", "station")
PRICES = ("cheap", "fancy", "modest", "costly")

ACTORS = ("boy", "girl", "dancer", "chef", "worker", "teacher", "doctor", "painter")
ACTIONS = ("kick", "paint", "carry", "wash", "throw", "open", "repair", "lift")
OBJECTS = ("ball", "door", "box", "wall", "boat", "table", "fence", "window")
SITES = ("park", "street", "studio", "beach", "school", "market")

TOWNS = ("arden", "belmont", "calder", "dunmore", "elmwood", "farley")
DEEDS = ("opened", "closed", "repaired", "sold")
BUILDINGS = ("bridge", "museum", "theatre", "hospital", "stadium", "pool")
LANDMARKS = ("river", "castle", "square", "hill", "lake")
WEATHER = ("mild", "windy", "rainy", "sunny", "cold")
MOODS = ("happy", "angry", "quiet", "proud")
TEAMS = ("lions", "eagles", "sharks", "tigers", "bulls", "hawks")
CROWDS = ("small", "huge", "loud", "calm")

# Words that head the parts of a prompt. The pre-training text lists them once, so that each is one token.
HEADINGS = (
    *("answer", "claim", "comment", "concepts", "deal", "facts", "first", "given", "headline", "hypothesis", "match"),
    *("meaning", "one", "opinion", "other", "premise", "query", "question", "relation", "reply", "report", "review"),
    *("scene", "second", "sentence", "story", "summary", "verdict"),
)
