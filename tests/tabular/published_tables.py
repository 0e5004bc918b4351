"""Writers of tables in the shape in which well-known data sets are published; the values are drawn, not theirs."""

import random
from pathlib import Path

import numpy as np


def _adult(r):
    """No header, spaces after commas, "?" among categories, as adult.data of UCI."""
    lines = []
    for _ in range(600):
        hours, years = r.randint(10, 70), r.randint(4, 16)
        work, country = r.choice(["Private", "State-gov", "?"]), r.choice(["United-States", "Mexico", "?"])
        rich = hours + 4 * years + r.gauss(0, 6) > 85
        school = r.choice(["HS-grad", "Bachelors"])
        lines.append(f"{r.randint(17, 80)}, {work}, {r.randint(10**4, 10**6)}, {school}, {years}, "
                     f"{r.choice(['Male', 'Female'])}, {hours}, {country}, {'>50K' if rich else '<=50K'}")  # fmt: skip
    return "\n".join(lines) + "\n\n"


def _wine_quality(r):
    """Semicolons and quoted names, as winequality-red.csv of UCI."""
    lines = ['"fixed acidity";"volatile acidity";"residual sugar";"density";"alcohol";"quality"']
    for _ in range(600):
        alcohol, acidity = r.uniform(8, 14), r.uniform(0.1, 1.2)
        quality = min(8, max(3, round(alcohol / 2 - 2 * acidity + 1 + r.gauss(0, 0.3))))
        others = f"{r.uniform(1, 9):.1f};{r.uniform(0.99, 1.0):.5f}"
        lines.append(f"{r.uniform(5, 12):.1f};{acidity:.2f};{others};{alcohol:.1f};{quality}")
    return "\n".join(lines) + "\n"


def _auto_mpg(r):
    """White space of any length, "?" for a missing number, a quoted name after a tab, as auto-mpg.data of UCI."""
    lines = []
    for i in range(390):
        weight, year = r.uniform(1700, 5000), r.randint(70, 82)
        power = "?" if i % 65 == 32 else f"{weight / 30:.1f}"
        mpg = 50 - weight / 125 + (year - 70) * 0.7 + r.gauss(0, 1)
        start = f"{mpg:.1f}   {r.choice([4, 6, 8])}   {weight / 15:5.1f}      {power:<10} {weight:.0f}.      "
        car = f'"car {i} of {r.randint(1, 9)}"'
        lines.append(f"{start}{r.uniform(9, 24):.1f}   {year}  {r.randint(1, 3)}\t{car}")
    return "\n".join(lines) + "\n"


def _air_quality(r):
    """Decimal commas, semicolons, dates and times, trailing separators and empty rows, as AirQualityUCI.csv."""
    lines = ["Date;Time;CO(GT);PT08.S1(CO);T;RH;C6H6(GT);;"]
    for i in range(600):
        co = r.uniform(0.2, 8)
        numbers = (
            f"{v:.1f}".replace(".", ",") for v in (co, r.uniform(2, 40), r.uniform(10, 90), 5 * co + r.gauss(0, 0.5))
        )
        a, t, h, y = numbers
        lines.append(f"{10 + i // 24 % 18:02d}/03/2004;{i % 24:02d}.00.00;{a};{r.randint(700, 1900)};{t};{h};{y};;")
    return "\n".join([*lines, *[";;;;;;;;"] * 5]) + "\n"


def _titanic(r):
    """Quoted names with commas, missing ages and cabins, an identifier, as train.csv of Kaggle's Titanic."""
    lines = ["PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Ticket,Fare,Cabin,Embarked"]
    for i in range(1, 601):
        sex, pclass = r.choice(["male", "female"]), r.randint(1, 3)
        alive = r.random() < (0.9 if sex == "female" else 0.12)
        age = "" if i % 5 == 0 else f"{r.randint(1, 75)}"
        cabin = f"C{i}" if i % 4 == 0 else ""
        name = f'"Name{i}, Mr. ""{r.randint(1, 9)}"""'
        lines.append(f"{i},{int(alive)},{pclass},{name},{sex},{age},{r.randint(0, 3)},A/5 {i},"
                     f"{r.uniform(5, 90):.4f},{cabin},{r.choice(['S', 'C', 'Q', ''])}")  # fmt: skip
    return "\r\n".join(lines) + "\r\n"


def _bank_marketing(r):
    """Quoted texts, semicolons, a rare class, as bank-full.csv of UCI."""
    lines = ['"age";"job";"marital";"balance";"day";"month";"duration";"pdays";"y"']
    for _ in range(800):
        duration = r.randint(5, 1500)
        yes = duration + r.gauss(0, 80) > 1250
        job, marital = r.choice(["admin.", "services", "unknown"]), r.choice(["single", "married"])
        start = f'{r.randint(18, 90)};"{job}";"{marital}";{r.randint(-500, 9000)};{r.randint(1, 31)}'
        lines.append(f'{start};"{r.choice(["may", "jun", "jul"])}";{duration};-1;"{"yes" if yes else "no"}"')
    return "\n".join(lines) + "\n"


def _letters(r):
    """No header, the class first, whole numbers, as letter-recognition.data of UCI."""
    centres = {c: [r.randint(0, 15) for _ in range(16)] for c in "ABCDEFGH"}
    rows = ((c, centres[c]) for c in (r.choice("ABCDEFGH") for _ in range(800)))
    return "".join(
        f"{c},{','.join(str(min(15, max(0, v + r.randint(-2, 2)))) for v in centre)}\n" for c, centre in rows
    )


def _churn(r):
    """Yes and No, blanks for missing charges, identifiers of letters and digits, as Telco's customer churn."""
    lines = ["customerID,gender,SeniorCitizen,Partner,tenure,Contract,MonthlyCharges,TotalCharges,Churn"]
    for i in range(700):
        tenure, contract = r.randint(0, 72), r.choice(["Month-to-month", "One year", "Two year"])
        charge = r.uniform(18, 118)
        churn = contract == "Month-to-month" and tenure < 40
        total = " " if tenure == 0 else f"{tenure * charge:.2f}"
        who = f"{i:04d}-{r.choice('ABCDEF')}{r.choice('GHIJ')}{i % 7}X,{r.choice(['Male', 'Female'])},{r.randint(0, 1)}"
        partner, left = r.choice(["Yes", "No"]), "Yes" if churn else "No"
        lines.append(f"{who},{partner},{tenure},{contract},{charge:.2f},{total},{left}")
    return "\n".join(lines) + "\n"


def _mnist(r):
    """label,pixel0,...,pixel783, with many constant pixels, as train.csv of Kaggle's Digit Recognizer."""
    rng = np.random.default_rng(r.randint(0, 99))
    prototypes = rng.integers(0, 256, (10, 784)) * (rng.random(784) < 0.8)
    labels = rng.integers(0, 10, 300)
    pixels = np.clip(prototypes[labels] + rng.integers(-60, 60, (300, 784)) * (prototypes[labels] > 0), 0, 255)
    names = "label," + ",".join(f"pixel{i}" for i in range(784))
    return "\n".join(
        [names, *(f"{y}," + ",".join(map(str, row)) for y, row in zip(labels, pixels.tolist(), strict=True))]
    )


# name: (writer, file, target, options, task, number of features, least accuracy, balanced, or R²)
PUBLISHED = {
    "adult": (_adult, "adult.data", "-1", (), "classification", 8, 0.7),
    "wine quality": (_wine_quality, "winequality-red.csv", "quality", (), "classification", 5, 0.4),
    "auto-mpg": (_auto_mpg, "auto-mpg.data", "0", (), "regression", 7, 0.8),
    "air quality": (_air_quality, "AirQualityUCI.csv", "C6H6(GT)", (), "regression", 6, 0.9),
    "titanic": (_titanic, "train.csv", "Survived", ("--drop", "Name,Ticket,Cabin"), "classification", 6, 0.7),
    "bank marketing": (_bank_marketing, "bank-full.csv", "y", ("--class-weight", "balanced"), "classification", 7, 0.7),
    "letters": (_letters, "letter-recognition.data", "0", (), "classification", 16, 0.9),
    "churn": (_churn, "telco.csv", "Churn", (), "classification", 7, 0.8),
    "mnist": (_mnist, "mnist.csv", "label", (), "classification", None, 0.85),
}


def write(name: str, folder: Path) -> Path:
    """Write a table in its published shape; return its path."""
    make, file = PUBLISHED[name][:2]
    path = folder / file
    path.write_bytes(make(random.Random(name)).encode())
    return path
