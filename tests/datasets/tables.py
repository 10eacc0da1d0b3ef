"""A table of pictures that several files of tests change."""

CSV = """file,kind,place,part,user,odd
a.png,cat,in,train,7,0
b.png,cat,in,train,8,0
"c, d.png",dog,out,Training,7,False
e.png,dog,in,val,9,TRUE
f.png,cat,out,test,9,1
"""
COLUMNS = {"image": "file", "target": "kind", "attribute": "place", "split": "part"}
