/// Passwords that an attacker tries first.
///
/// The list was written by hand for Roost: passwords of eight characters and more (shorter ones are refused anyway) of the
/// kinds that public rankings of leaked passwords repeat year after year (names, keyboard walks, teams, seasons, the same word
/// in several languages). Single repeated characters and plain runs of digits or letters are told by rule, not by list.
package enum CommonPasswords {
    /// Whether a password, folded to lower case, is one of them.
    package static func contains(_ folded: String) -> Bool {
        listed.contains(folded) || isRepetition(folded) || isRun(folded)
    }

    /// One or two characters over and over.
    private static func isRepetition(_ text: String) -> Bool {
        let characters = Array(text)
        return [1, 2].contains { period in
            characters.indices.allSatisfy { characters[$0] == characters[$0 % period] }
        }
    }

    /// Each character the next, or the one before, of the one to its left: 23456789, hgfedcba.
    private static func isRun(_ text: String) -> Bool {
        let scalars = text.unicodeScalars.map { Int($0.value) }
        let steps = zip(scalars, scalars.dropFirst()).map { $1 - $0 }
        return steps.allSatisfy { $0 == 1 } || steps.allSatisfy { $0 == -1 }
    }

    private static let listed = Set(list.split(whereSeparator: \.isWhitespace).map(String.init))

    private static let list = #"""
        !@#$%^&* !@#$%^&*() !qaz2wsx !qaz@wsx 01010101 0123456789 0987654321 1!2@3#4$ 10011001 100200300 10101010
        1010101010 10203040 1020304050 102030405060 11001100 11110000 11112222 11223344 1122334455 112233445566 11235813
        1123581321 12121212 1212121212 12131415 123123123 123123123a 123321123 12341234 123412345 12344321 123454321
        1234554321 123456123 123456123456 123456654321 12345678 123456781 123456789 1234567890 1234567891 12345678910
        123456789a 123456789q 12345678a 12345679 1234567a 123456aa 123456ab 123456abc 12345abc 12345qwe 12345qwert
        1234abcd 1234qwer 123abc123 123abc456 123qwe123 123qweasd 123qweasdzxc 123qweqwe 12qwaszx 13131313 1314520520
        13572468 13579246 135792468 14141414 147258369 147852369 159357456 159753159 159753456 19841984 19851985
        19861986 19871987 19881988 19891989 19901990 19911991 19921992 19941994 1a2b3c4d 1a2b3c4d5e 1q2w3e4r 1q2w3e4r5t
        1q2w3e4r5t6y 1q2w3e4r5t6y7u8i 1qa2ws3ed 1qaz!qaz 1qaz2wsx 1qaz2wsx3edc 1qazxsw2 20002000 20102010 20122012
        20202020 21212121 23232323 24681012 246813579 25252525 27182818 2wsx3edc 31415926 314159265 31415926535
        321321321 3edc4rfv 456456456 5201314520 69696969 741852963 789456123 7894561230 789789789 87654321 963852741
        987654321 9876543210 a1234567 a12345678 a123456789 a123456a a1a1a1a1 a1b2c3d4 a1b2c3d4e5 a1s2d3f4 aa123456
        aa12345678 aaa111222 aaa123456 aaaa1111 aabbccdd aabbccddee ab123456 abc12345 abc123456 abc1234567 abc123456789
        abc123abc abcabc123 abcd1234 abcd12345 abcd123456 abcd4321 abcde123 abcde12345 abcdef123 abcdefg1 abcdefg123
        abcdefgh abcdefgh1 abcdefghi abcdefghij abcdefghijklmnopqrstuvwxyz abracadabra access14 admin123 admin1234
        admin12345 admin123456 admin888 admin@123 adminadmin administrator administrator1 adminpass agent007 airborne
        alejandra alejandro aleksandr aleksandra alexander alexander1 alexandr alexandra alhamdulillah amanda12 america1
        american anastasia anastasiya andrew12 angel123 angelina angelina1 angels12 anthony1 anthony123 anything
        anything1 apple123 aquarius argentina arsenal1 arsenal123 as123456 asas1212 asd12345 asd123456 asdasd123
        asdasdasd asdf1234 asdf12345 asdfasdf asdfgh123 asdfghjk asdfghjkl asdfghjkl; asdfqwer ashley12 ashley123
        assassin assassin1 asshole1 australia autumn2020 autumn2021 autumn2022 autumn2023 autumn2024 autumn2025
        azerty123 azertyui azertyuiop babyboy1 babydoll babyface babygirl babygirl1 babygirl12 babygirl123 banana12
        banana123 barcelona barcelona1 baseball baseball1 baseball123 basketball basketball1 batman12 batman123
        beautiful beautiful1 benjamin benjamin1 besiktas bestfriend bestfriends bgt56yhn bigdick1 bismillah bismillah1
        bitch123 bitcoin1 bitcoin123 blackberry blackbird blackcat blackhawk blackjack blackrose blessed1 blink182
        bluebird bluesky1 bond0070 bonjour1 bonjour123 borussia brasil123 brittany brittany1 broncos1 brother1 budweiser
        bulldog1 bulldogs bullshit business business1 butterfly butterfly1 butterfly123 bvb09bvb california california1
        capricorn cardinal cardinals1 carolina carolina1 caroline catherine cde34rfv champion champion1 change_me
        changeme changeme1 changeme123 charizard charlie1 charlie123 charlotte charlotte1 chat1234 chatchat cheerleader
        cheerleader1 cheese12 chelsea1 chelsea123 chelseafc chevelle chevrolet chicago1 chicken1 chicken123 chocolat
        chocolate chocolate1 christian christian1 christina christine college1 colombia computer computer1 computer123
        contrasena contrasena1 contraseña cookie123 cookies1 corinthians correcthorse correcthorsebatterystaple corvette
        corvette1 counterstrike courtney cowboys1 cristina crystal1 cupcake1 d1234567 daddy123 daddysgirl dallas22
        daniel12 daniel123 danielle danielle1 december december1 default1 default123 demo1234 deutschland diamond1
        diamond123 discovery dmitriy1 dollars1 dolphin1 dolphins dolphins1 dontforget doraemon doudou123 dragon12
        dragon123 dragonball dragonball1 dragonballz eagles12 einstein einstein1 ekaterina elephant elephant1 elizabeth
        elizabeth1 emerald1 eminem123 england1 enterprise estrella estrellita everything explorer explorer1 facebook
        facebook1 facebook123 faith123 familia1 family12 family123 familyfirst father12 february fenerbahce fernanda
        fernando ferrari1 flamengo flower12 flower123 flowers1 football football1 football123 forever1 forever21
        foreverlove fortnite fortnite1 francisco freedom1 freedom123 friday13 friends1 friends123 fucker12 fuckoff1
        fuckyou1 fuckyou123 fuckyou2 gabriel1 gabriela galatasaray gamecube gandalf1 ganesha1 garfield garfield1
        geheim123 gemini12 germany1 gladiator gmail123 godisgood godislove godzilla goldfish google12 google123 gorgeous
        greenbay greenday greenday1 guest123 guest1234 hallo123 hallo1234 harley12 harley123 harleydavidson harrypotter
        harrypotter1 haslo123 haslo1234 heaven12 heineken hejhej123 hellokitty hellokitty1 heslo123 heslo1234 highlander
        hitman47 hockey12 hockey123 hocuspocus hogwarts hotmail1 hotmail123 hunter12 hunter123 hunter22 hurricane
        iamgod12 idontcare idontknow iforgot1 ihateyou ilovegod iloveme1 iloveu123 iloveyou iloveyou! iloveyou1
        iloveyou12 iloveyou123 iloveyou2 iloveyou520 india123 indian12 instagram instagram1 internet internet1
        internet123 iphone12 isabella isabella1 istanbul istanbul34 jackdaniels jaimatadi jamesbond jamesbond007
        jameson1 january1 jasmine1 jasmine123 jelszo123 jennifer jennifer1 jessica1 jessica123 jesus123 jesus1234
        jesuschrist jonathan jonathan1 jordan123 jordan23 juventus juventus1 k1234567 katherine kawasaki kennwort
        killer12 killer123 kimberly kimberly1 kittycat krishna1 krishna123 kristina1 lakers24 lamborghini leonardo
        leonardo1 letmein! letmein1 letmein12 letmein123 letmeinnow letmeinplease liberty1 lightning lightning1 linkedin
        linkedin1 liverpool liverpool1 liverpoolfc lkjhgfdsa login123 loginlogin losenord loulou123 lovelife lovelove
        lovelove1 lovely12 loveme12 loveme123 loveyou1 loveyou123 loveyou2 lösenord m1234567 macintosh madison1 manager1
        manager123 manchester manchester1 manunited margarita marine12 marines1 marlboro marlboro1 maryjane master12
        master123 matrix12 matthew1 maverick maverick1 megadeth melissa1 mercedes mercedes1 mercury1 metallica
        metallica1 michael1 michaeljackson michelle michelle1 microsoft microsoft1 midnight midnight1 military million1
        minecraft minecraft1 minecraft123 minhasenha mipassword mnbvcxz1 mnbvcxzlkjhgfdsa mohamed1 mohammed mommy123
        monday12 money123 money1234 monkey12 monkey123 motdepasse motdepasse1 mother12 motorola motorola1 mountain
        mountain1 muhammad mustang1 mybaby12 myfamily mylove12 mylove123 mypassword mypassword1 mysecret myspace1
        naruto12 naruto123 natasha1 ncc1701d ncc1701e newpassword newpassword1 newyork1 newzealand nicholas nicholas1
        nicole12 nintendo nirvana1 nokia123 nokia6300 nothing1 november november1 october1 omsairam opensesame orange12
        orange123 p0o9i8u7 p4ssw0rd p4ssword p@ssw0rd p@ssw0rd1 p@ssw0rd123 p@ssword p@ssword1 pa$$word packers1
        pakistan pakistan1 pakistan123 palmeiras panther1 panthers paradise paradise1 parola12 parola123 pass1111
        pass1234 pass12345 pass123456 pass1word pass@123 pass@word1 passpass passpass1 passphrase passw0rd passw0rd!
        passw0rd1 passw0rd123 password password! password01 password1 password1! password11 password12 password123
        password1234 password2 password3 password321 password99 passwort passwort1 passwort123 patricia patricia1
        patriot1 patriots peaches1 peanut12 phoenix1 phoenix123 pikachu1 pineapple platinum playstation playstation2
        playstation3 poiuytrewq pokemon1 pokemon123 porsche1 porsche911 portugal predator predator1 princesa princess
        princess1 princess12 princess123 pumpkin1 pussy123 pussycat pussycat1 q1234567 q12345678 q123456789 q1q1q1q1
        q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 qaqa1212 qazwsx123 qazwsxedc qazwsxedcrfv qazxswedc qq123456 qqqq1111 qwe12345
        qwe123456 qwe123qwe qweasd123 qweasdzxc qweqwe123 qweqweqwe qwer1234 qwer4321 qwerty!1 qwerty01 qwerty1!
        qwerty12 qwerty123 qwerty1234 qwerty12345 qwerty123456 qwerty321 qwertyui qwertyuiop qwertyuiop123 qwertz123
        qwertzui qwertzuiop rahasia1 raiders1 rainbow1 rainbow123 realmadrid rebecca1 redskins redsox04 redwings
        roblox123 roost123 roost1234 roostroost root1234 rootpass rootroot runescape runescape1 rush2112 russia123
        s1234567 sagittarius saibaba1 sairam12 salasana salasana1 samantha samantha1 samsung1 samsung123 samurai1
        sapphire sasuke123 saturday savannah sayang123 sayangku schalke04 school12 school123 scooby12 scoobydoo scorpio1
        scorpion scorpion1 scotland scotland1 sebastian sebastian1 secret12 secret123 secret1234 security security1
        security123 senha123 senha1234 september sexygirl sexylady shadow12 shadow123 sifre123 sifre1234 silver12
        silver123 sisters1 skywalker slipknot slipknot1 snapchat snickers snickers1 snoopy12 snowball snowball1 soccer12
        soccer123 softball softball1 soldier1 something sonyericsson spiderman spiderman1 spiderman123 spring2020
        spring2021 spring2022 spring2023 spring2024 spring2025 starcraft startrek startrek1 starwars starwars1
        starwars123 starwars77 steelers steelers1 stephanie strawberry strawberry1 student1 student123 summer12
        summer123 summer2019 summer2020 summer2021 summer2022 summer2023 summer2024 summer2025 sunflower sunflower1
        sunshine sunshine1 sunshine12 sunshine123 superman superman1 superman123 supersecret supersecret1 superuser
        svetlana sweetheart sweetie1 sweetpea sweety12 swimming sysadmin teacher1 teamo123 teamomucho temp1234 temporary
        temppass tequiero terminator test1234 test12345 test123456 tester123 testing1 testing123 testtest testtest1
        thepassword thomas12 thomas123 thunder1 thunder123 thursday thx11381 tigers12 tigger12 tigger123 tinkerbell
        tinkerbell1 together topsecret tornado1 trustno1 trustno1! tuesday1 twitter1 ukraine1 user1234 username
        username1 valentin valentina vanessa1 venezuela verizon1 veronica veronika vfr45tgb victoria victoria1 vladimir
        vladimir1 vodafone voldemort volleyball w1234567 wachtwoord wachtwoord1 waheguru warcraft warcraft3 warrior1
        warriors wasd1234 wednesday welcome01 welcome1 welcome1! welcome12 welcome123 welcome2 welkom01 welkom123
        whatever whatever1 whatever123 whatsapp whatsup1 whocares wildcats william1 windows1 windows10 windows7 winter12
        winter123 winter2020 winter2021 winter2022 winter2023 winter2024 winter2025 woaini123 woaini1314 woaini520
        worldofwarcraft x1234567 xbox3600 xsw21qaz yamaha12 yankees1 yourpassword youtube1 youtube123 z1234567 zaq!2wsx
        zaq12wsx zaq1xsw2 zaq1zaq1 zaqwsx123 zse45rdx zxc12345 zxc123456 zxcasdqwe zxcvbnm, zxcvbnm1 zxcvbnm123 zxcvzxcv
        zxczxczxc zyxwvuts zz123456
        """#
}
